package shorten

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func newServer() http.Handler {
	return NewServer(NewStore(), "abc", slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func ask(t *testing.T, handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder
}

func TestLinkIsFollowed(t *testing.T) {
	handler := newServer()
	added := ask(t, handler, http.MethodPost, "/links", `{"url": "https://example.com/a"}`)
	if added.Code != http.StatusCreated {
		t.Fatalf("status %d, want %d", added.Code, http.StatusCreated)
	}
	var answer struct{ Key string }
	if err := json.Unmarshal(added.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	followed := ask(t, handler, http.MethodGet, "/l/"+answer.Key, "")
	if got := followed.Header().Get("Location"); got != "https://example.com/a" {
		t.Errorf("led to %q", got)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"no JSON", http.MethodPost, "/links", "{", http.StatusBadRequest},
		{"no URL", http.MethodPost, "/links", `{"url": "ftp://a"}`, http.StatusUnprocessableEntity},
		{"unknown", http.MethodGet, "/l/none", "", http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ask(t, newServer(), test.method, test.path, test.body).Code; got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
		})
	}
}

func TestVersionIsTold(t *testing.T) {
	if got := ask(t, newServer(), http.MethodGet, "/version", "").Body.String(); !strings.Contains(got, `"commit":"abc"`) {
		t.Errorf("said %s", got)
	}
}
