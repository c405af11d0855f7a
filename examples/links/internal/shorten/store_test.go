package shorten

import (
	"errors"
	"testing"
)

func TestKeysDiffer(t *testing.T) {
	store := NewStore()
	first, _ := store.Add("https://example.com")
	second, _ := store.Add("https://example.com")
	if first == second {
		t.Errorf("both keys are %q", first)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add("https://example.com")
	f.Add("://")
	f.Fuzz(func(t *testing.T, target string) {
		store := NewStore()
		key, err := store.Add(target)
		if err != nil {
			if !errors.Is(err, ErrNotAbsolute) {
				t.Fatal(err)
			}
			return
		}
		if got, ok := store.Get(key); !ok || got != target {
			t.Errorf("kept %q as %q", target, got)
		}
	})
}
