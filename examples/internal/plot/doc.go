// Package plot draws charts of lines and bars as SVG, and puts them with text and tables on a page
// of HTML that needs nothing else: no script, no font, no request.
//
//	page := plot.Page{Title: "molasses", Lead: "Why did it get slower?"}
//	page.Add("Throughput", plot.Chart{
//		X: plot.Axis{Label: "workers"}, Y: plot.Axis{Label: "words/s", Log: true},
//		Series: []plot.Series{{Name: "one lock", Points: []plot.Point{{1, 4e6}, {2, 3e6}}}},
//	})
//	err := page.WriteFile("report.html")
//
// The same chart gives the same bytes.
package plot
