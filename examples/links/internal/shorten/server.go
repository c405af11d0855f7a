package shorten

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

const maxBody = 4 << 10

type server struct {
	store  *Store
	commit string
	log    *slog.Logger
}

// NewServer gives the handler of all requests.
func NewServer(store *Store, commit string, log *slog.Logger) http.Handler {
	s := &server{store: store, commit: commit, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /version", s.version)
	mux.HandleFunc("POST /links", s.add)
	mux.HandleFunc("GET /l/{key}", s.follow)
	return mux
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *server) version(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, map[string]string{"commit": s.commit})
}

func (s *server) add(w http.ResponseWriter, r *http.Request) {
	var body struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		s.answer(w, http.StatusBadRequest, map[string]string{"error": "the body is no JSON object with a url"})
		return
	}
	key, err := s.store.Add(body.URL)
	if err != nil {
		s.answer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
		return
	}
	s.answer(w, http.StatusCreated, map[string]string{"key": key})
}

func (s *server) follow(w http.ResponseWriter, r *http.Request) {
	target, ok := s.store.Get(r.PathValue("key"))
	if !ok {
		s.answer(w, http.StatusNotFound, map[string]string{"error": "no such link"})
		return
	}
	http.Redirect(w, r, target, http.StatusFound)
}

func (s *server) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Warn("answer not written", "error", err)
	}
}
