// Package accesslog reads the access logs of web servers, in Common or Combined Log Format, packed
// with gzip or not, and makes up such logs where there is none at hand.
//
//	in, err := accesslog.At("access.log.gz", os.Stdin) // "-" is standard input
//	s, err := in.Open()
//	for lines := bufio.NewScanner(s); lines.Scan(); {
//		line, err := accesslog.Parse(lines.Text())
//	}
package accesslog
