package bundle

import (
	"archive/tar"
	"bytes"
	"time"
)

// tarHeader is the block before a member. It tells nothing of who wrote it.
func tarHeader(name string, size int64, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: at.Truncate(time.Second), Format: tar.FormatUSTAR,
	})
	return b.Bytes(), err
}

// padding is how many zeros follow size bytes in a tar archive.
func padding(size int64) int { return int(-size & (blockSize - 1)) }
