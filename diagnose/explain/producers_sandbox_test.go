//go:build linux

package explain_test

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// sandbox runs ahead of a producer's own script.
//
//go:embed testdata/producers/sandbox.sh
var sandbox string

// producerPatience is how long a producer may take until its rules are there.
const producerPatience = 60 * time.Second

// adminPath also holds what only root has in its PATH.
const adminPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// missing says what the case needs and is not there.
func (c *oracleCase) missing() error {
	if c.needsRoot != "" && lab.UserNamespace() {
		return fmt.Errorf("not root, but in a user namespace: %s", c.needsRoot)
	}
	for _, name := range append([]string{"sh", "mount", "/etc/alternatives/iptables"}, c.needs...) {
		found := false
		for _, dir := range strings.Split(adminPath, ":") {
			if strings.HasPrefix(name, "/") {
				dir = ""
			}
			info, err := os.Stat(dir + "/" + name)
			found = found || err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
		}
		if !found {
			return &exec.Error{Name: name, Err: exec.ErrNotFound}
		}
	}
	return nil
}

// producer is the sandbox that a program runs in.
type producer struct {
	hold *os.File // its end ends the sandbox
	said *os.File
}

// produce runs setup.sh on the router: in its network namespace, with mounts
// and processes of its own, so that nothing of the machine is touched and no
// daemon outlives the test. It returns once the script has come to its end.
func (r *oracleRun) produce(t *testing.T) error {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	t.Cleanup(func() { hold.Close() })
	said, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdout.Close()
	t.Cleanup(func() { said.Close() })
	const ready = "\necho; echo READY; read go || exit 0\n"
	cmd := exec.Command("sh", "-c", sandbox+r.setup+ready+r.thenScript+ready)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stdout
	cmd.Env = []string{"PATH=" + adminPath, "LANG=C", "EMPTY=" + strings.Join(r.empty, " "), "IPTABLES=" + r.flavour}
	namespaces := []string{}
	for name, h := range r.hosts() {
		namespaces = append(namespaces, fmt.Sprintf("%s=/proc/%d/fd/%d", name, os.Getpid(), h.Fd()))
	}
	cmd.Env = append(cmd.Env, "HOSTS="+strings.Join(namespaces, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if err := r.net.Router.Do(cmd.Start); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the first process of its namespace: all others go with it
		_ = cmd.Wait()
	})
	r.producer = &producer{hold, said}
	stdout.Close()
	return r.producer.wait("setup.sh")
}

// then runs then.sh in the same sandbox.
func (p *producer) then() error {
	if _, err := p.hold.WriteString("go\n"); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return p.wait("then.sh")
}

// wait reads until the script has come to its end.
func (p *producer) wait(script string) error {
	if err := p.said.SetReadDeadline(time.Now().Add(producerPatience)); err != nil {
		return err
	}
	var log strings.Builder
	lines := bufio.NewScanner(io.TeeReader(p.said, &log))
	for lines.Scan() {
		if lines.Text() == "READY" {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", script, err, log.String())
	}
	return fmt.Errorf("%s failed:\n%s", script, log.String())
}
