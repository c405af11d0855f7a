// Package shorten keeps short links and serves them.
package shorten

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"sync"
)

// ErrNotAbsolute is given for what is no absolute http(s) URL.
var ErrNotAbsolute = errors.New("not an absolute http(s) URL")

// Store keeps links in memory.
type Store struct {
	mu    sync.RWMutex
	links map[string]string
}

// NewStore gives an empty store.
func NewStore() *Store {
	return &Store{links: make(map[string]string)}
}

// Add keeps a URL and gives its key.
func (s *Store) Add(target string) (string, error) {
	parsed, err := url.Parse(target)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return "", ErrNotAbsolute
	}
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	key := base64.RawURLEncoding.EncodeToString(random)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[key] = target
	return key, nil
}

// Get gives the URL of a key.
func (s *Store) Get(key string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	target, ok := s.links[key]
	return target, ok
}
