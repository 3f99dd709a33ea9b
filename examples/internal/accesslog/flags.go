package accesslog

import (
	"flag"
	"fmt"
	"io"
)

// Flags defines the flags by which a program is told what log to read: -in, or what a made-up one is like,
// which goes to made, whose values are those for flags that are not given. Once they are parsed, the
// function that it returns checks them and gives the input.
func Flags(f *flag.FlagSet, made *Made) func(stdin io.Reader) (Input, error) {
	path := f.String("in", "", "the access log `file`, in Common or Combined Log Format, packed with gzip or not; - is standard input")
	f.IntVar(&made.Lines, "lines", made.Lines, "without -in: how many lines to make up")
	f.IntVar(&made.Visitors, "visitors", made.Visitors, "without -in: of how many visitors")
	f.IntVar(&made.Pages, "pages", made.Pages, "without -in: of how many pages")
	f.Uint64Var(&made.Seed, "seed", made.Seed, "without -in: what the lines are drawn by")
	return func(stdin io.Reader) (Input, error) {
		if f.NArg() > 0 {
			return Input{}, fmt.Errorf("unexpected %q; the log is given by -in", f.Arg(0))
		}
		if *path != "" {
			var err error
			f.Visit(func(given *flag.Flag) {
				switch given.Name {
				case "lines", "visitors", "pages":
					err = fmt.Errorf("-%s is for a made-up log, not with -in", given.Name)
				}
			})
			if err != nil {
				return Input{}, err
			}
			return At(*path, stdin)
		}
		for _, c := range []struct {
			name  string
			v, up int
		}{{"lines", made.Lines, 1 << 30}, {"visitors", made.Visitors, 1 << 24}, {"pages", made.Pages, 1 << 20}} {
			if c.v < 1 || c.v > c.up {
				return Input{}, fmt.Errorf("-%s is from 1 to %d, not %d", c.name, c.up, c.v)
			}
		}
		return Input{Name: made.String(), Made: made}, nil
	}
}
