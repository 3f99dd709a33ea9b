package clockhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/clock/clockhttp"
)

func ExampleTransport() {
	there := clock.New()
	server := httptest.NewServer(clockhttp.Handler(there, http.NotFoundHandler()))
	defer server.Close()

	here := clock.New()
	client := &http.Client{Transport: &clockhttp.Transport{Clock: here}}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(here.Now() > there.Last())
	// Output: true
}

func ExampleOption() {
	c := clock.New()
	h := clockhttp.Handler(c, http.NotFoundHandler(), clockhttp.OnRefuse(
		func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, "set your clock", http.StatusTeapot)
		}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(clock.Key, "2200-01-01T00:00:00Z")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 418
}
