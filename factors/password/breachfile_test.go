package password

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBreachFile(t *testing.T) {
	for _, count := range []int{1, 2, 3, 100} {
		var lines []string
		for i := range count {
			line := fmt.Sprintf("%X", sha1.Sum(fmt.Appendf(nil, "stolen %d", i)))
			if i%2 == 0 {
				line += fmt.Sprintf(":%d", i*i*1000)
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
		for _, end := range []string{"\n", "\r\n"} {
			path := filepath.Join(t.TempDir(), "list")
			if err := os.WriteFile(path, []byte(strings.Join(lines, end)+strings.TrimLeft(end, "x")), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := OpenBreachFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range count {
				if known, err := b.Breached(t.Context(), fmt.Sprintf("stolen %d", i)); err != nil || !known {
					t.Errorf("%d of %d: %v %v", i, count, known, err)
				}
				if known, err := b.Breached(t.Context(), fmt.Sprintf("mine %d", i)); err != nil || known {
					t.Errorf("a strange one of %d: %v %v", count, known, err)
				}
			}
		}
	}
	path := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(path, []byte("password\n123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBreachFile(path); err == nil {
		t.Error("a list of plain passwords was taken")
	}
	if _, err := OpenBreachFile(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a file that is not there was taken")
	}
}
