package bundle

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar.zst")
	holds := func(want string) {
		t.Helper()
		list, err := os.ReadDir(dir)
		must(t, err)
		if want == "" && len(list) == 0 {
			return
		}
		got, err := os.ReadFile(path)
		if len(list) != 1 || err != nil || string(got) != want {
			t.Errorf("%v: %q, %v; want %q alone", list, got, err, want)
		}
	}
	create := func(ctx context.Context, text string, over bool) *File {
		t.Helper()
		f, err := CreateFile(ctx, path, over)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, err)
		return f
	}
	must(t, create(context.Background(), "given up", false).Abort())
	holds("")
	ctx, stop := context.WithCancelCause(context.Background())
	f := create(ctx, "cancelled", false)
	stop(errors.New("interrupt"))
	if _, err := f.Write([]byte("x")); err == nil || err.Error() != "interrupt" {
		t.Error(err)
	}
	if err := f.Commit(); err == nil || err.Error() != "interrupt" {
		t.Error(err)
	}
	holds("")
	f = create(context.Background(), "first", false)
	late := create(context.Background(), "late", false)
	must(t, f.Commit())
	must(t, f.Abort())
	if err := late.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that came meanwhile: %v", err)
	}
	holds("first")
	if _, err := CreateFile(context.Background(), path, false); !errors.Is(err, fs.ErrExist) || err.Error() != path+": file already exists" {
		t.Error(err)
	}
	must(t, create(context.Background(), "second", true).Commit())
	holds("second")
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := CreateFile(context.Background(), dir, true); err == nil || err.Error() != dir+": exists and is no plain file" {
		t.Error(err)
	}
	if _, err := CreateFile(context.Background(), filepath.Join(dir, "no", "b"), true); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
