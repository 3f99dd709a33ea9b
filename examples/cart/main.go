// Command cart is a shopping cart that is replicated on two nodes, and never loses a click: the one
// of "Keeping CALM" (Hellerstein and Alvaro, CACM 63(9), 2020).
//
//	go run ./cart            tells the story, once
//	go run ./cart -serve     a page with both nodes side by side, and a button that cuts the network
//
// Adding and removing is coordination-free: each click is an action of its own, a node keeps the set
// of those it has heard of, and sets merge in any order. Checking out is not, at first sight: a node
// that is cut off answers with what it happens to know, and the other one with something else.
//
// What makes it coordination-free is a seal. The shopper, who alone knows what was clicked, sends a
// manifest with the checkout: which actions there are. A node may answer when it holds them all, and
// from then on any node that answers gives the same receipt. This is a threshold that each node
// passes by itself, sooner or later, and no vote: nobody is asked, and nobody has to agree.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/go-calm/calm/examples/internal/program"
)

const about = `Show a shopping cart on two nodes: clicks on both sides of a cut, a checkout that goes wrong, and one by a
manifest that needs no vote.

  cart            tells the story, once
  cart -serve     a page with both nodes side by side, and a button that cuts the network`

func main() {
	program.Main("cart", func(ctx context.Context) error {
		return command(ctx, os.Args[1:], os.Stdout)
	})
}

func command(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("cart", flag.ContinueOnError)
	serve := f.Bool("serve", false, "serve the page until interrupted")
	addr := f.String("http", "127.0.0.1:8080", "with -serve: the `address` of the page; port 0 takes a free one")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return program.Usagef("unexpected %q", f.Arg(0))
	}
	if !*serve {
		*addr = "127.0.0.1:0"
	}
	s, err := newShop(ctx, *addr)
	if err != nil {
		return err
	}
	defer s.close()
	if *serve {
		fmt.Fprintf(stdout, "%s/\n", s.url)
		<-ctx.Done()
		return nil
	}
	return story(ctx, s.url, stdout)
}
