package watch

import "os"

// exchange takes three steps where the kernel has no one for it.
func exchange(a, b string) error {
	err := os.Rename(a, a+"~")
	if err == nil {
		err = os.Rename(b, a)
	}
	if err == nil {
		err = os.Rename(a+"~", b)
	}
	return err
}
