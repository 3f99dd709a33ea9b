package plot

import (
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-calm/calm/internal/disk"
)

// Page is a report: a title and what it says, in order.
type Page struct {
	Title string
	Lead  string // one sentence under the title
	parts []part
}

// part is one section of a page.
type part struct{ title, body string }

// Add adds a section with a chart.
func (p *Page) Add(title string, c Chart) {
	body := `<figure><div class="scroll">` + c.SVG() + "</div>"
	if c.Note != "" {
		body += "<figcaption>" + html.EscapeString(c.Note) + "</figcaption>"
	}
	p.parts = append(p.parts, part{title, body + "</figure>\n"})
}

// AddText adds a section of paragraphs.
func (p *Page) AddText(title string, paragraphs ...string) {
	var b strings.Builder
	for _, text := range paragraphs {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(text))
	}
	p.parts = append(p.parts, part{title, b.String()})
}

// AddTable adds a section with a table. The first column is text, the others are numbers.
func (p *Page) AddTable(title string, head []string, rows [][]string) {
	var b strings.Builder
	line := func(tag string, cells []string) {
		fmt.Fprint(&b, "<tr>")
		for _, c := range cells {
			fmt.Fprintf(&b, "<%s>%s</%s>", tag, html.EscapeString(c), tag)
		}
		fmt.Fprint(&b, "</tr>\n")
	}
	fmt.Fprint(&b, `<div class="scroll"><table><thead>`)
	line("th", head)
	fmt.Fprint(&b, "</thead><tbody>\n")
	for _, r := range rows {
		line("td", r)
	}
	fmt.Fprint(&b, "</tbody></table></div>\n")
	p.parts = append(p.parts, part{title, b.String()})
}

const pageHead = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%[1]s</title>
<style>
  :root { color-scheme: light dark; --ink: #1b2430; --dim: #66717f; --line: #dfe4ea; --back: #fbfcfd }
  @media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --dim: #93a0af; --line: #2c3642; --back: #12171d } }
  body { margin: 0 auto; max-width: 48rem; padding: 1.5rem 1rem 4rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back) }
  h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2.2rem 0 .5rem } p { margin: .4rem 0 }
  .lead, figcaption { color: var(--dim) } figure { margin: 0 } svg { max-width: 100%%; height: auto }
  .scroll { overflow-x: auto }
  table { border-collapse: collapse; width: 100%%; font-variant-numeric: tabular-nums }
  th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
  th { font-weight: 500; color: var(--dim); font-size: .85rem } th:first-child, td:first-child { text-align: left; padding-left: 0 }
  @media (max-width: 40rem) {
    svg { max-width: none; width: 38rem }
    th, td { padding: .3rem .35rem; font-size: .85rem } th:first-child, td:first-child { white-space: normal; min-width: 7rem }
  }
</style>
<h1>%[1]s</h1>
<p class="lead">%[2]s</p>
`

// WriteTo writes the page as HTML.
func (p *Page) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, html.EscapeString(p.Title), html.EscapeString(p.Lead))
	for _, s := range p.parts {
		if s.title != "" {
			fmt.Fprintf(&b, "<h2>%s</h2>\n", html.EscapeString(s.title))
		}
		fmt.Fprint(&b, s.body)
	}
	fmt.Fprint(&b, "</html>\n")
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Check finds out early what would keep [Page.WriteFile] from writing to a file.
func Check(path string) error {
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		return fmt.Errorf("%s is a directory", path)
	}
	dir := filepath.Dir(path)
	at, err := os.Stat(dir)
	if err == nil && !at.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	return err
}

// WriteSVG writes charts below each other to a file, one image that needs no page around it, and returns
// the file's whole path.
func WriteSVG(path string, charts ...Chart) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	width, height := 0, 0
	for _, c := range charts {
		d := newDrawing(c)
		fmt.Fprintf(&b, "<g transform=\"translate(0 %d)\">\n%s</g>\n", height, strings.Replace(c.SVG(), "<svg ", fmt.Sprintf(`<svg height="%d" `, d.Height), 1))
		width, height = max(width, d.Width), height+d.Height
	}
	image := fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %[1]d %[2]d\" width=\"%[1]d\" height=\"%[2]d\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n%[3]s</svg>\n",
		width, height, b.String())
	return path, disk.ReplaceFile(path, []byte(image))
}

// WriteFile writes the page to a file, all of it or nothing, and returns the file's whole path.
func (p *Page) WriteFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	_, _ = p.WriteTo(&b) // a builder takes all
	return path, disk.ReplaceFile(path, []byte(b.String()))
}
