package accountexport_test

import (
	"image"
	_ "image/png" // what they are
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// mostPicture is how many bytes a picture of the documents may have, and all of them five
// times as many.
const mostPicture = 200_000

// TestConsolePictures: the console's manual shows each picture that `make screenshots` takes, with
// words for whoever does not see it, and none that is not there.
func TestConsolePictures(t *testing.T) {
	manual, err := os.ReadFile("doc/console.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range regexp.MustCompile(`!\[([^\]]+)\]\((console/[^)]+)\)`).FindAllStringSubmatch(string(manual), -1) {
		shown = append(shown, filepath.Join("doc", m[2]))
	}
	there, err := filepath.Glob("doc/console/*")
	if err != nil || len(there) == 0 {
		t.Fatal(there, err)
	}
	slices.Sort(shown)
	if !slices.Equal(shown, there) {
		t.Errorf("doc/console.md shows %q, and there are %q", shown, there)
	}
	var bytes int64
	for _, path := range there {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		picture, kind, err := image.DecodeConfig(f)
		info, _ := f.Stat()
		f.Close()
		if err != nil || kind != "png" || picture.Height != 800 || info.Size() > mostPicture {
			t.Errorf("%s is no PNG of 800 pixels and at most %d bytes: %s of %d pixels and %d bytes, %v", path, mostPicture, kind, picture.Height, info.Size(), err)
		}
		bytes += info.Size()
	}
	if bytes > 5*mostPicture {
		t.Errorf("they have %d bytes together", bytes)
	}
}
