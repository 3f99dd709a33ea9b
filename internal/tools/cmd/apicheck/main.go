// Command apicheck asks gorelease what changed for a user between the last release
// and HEAD, and which version number that calls for. Before the first release it
// asks whether HEAD can be released at all.
//
//	apicheck [-root dir] -gorelease path
//
// The last release is the newest tag vX.Y.Z before HEAD. Both sides are packed from
// the checkout: nothing need be published.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-calm/calm/internal/tools/modproxy"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("apicheck: ")
	root := flag.String("root", ".", "the root of the checkout")
	gorelease := flag.String("gorelease", "gorelease", "the gorelease command")
	flag.Parse()
	if err := run(*root, *gorelease); err != nil {
		log.Fatal(err)
	}
}

func run(root, gorelease string) (err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	gorelease, err = exec.LookPath(gorelease)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "apicheck")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	proxy, err := modproxy.New(tmp)
	if err != nil {
		return err
	}
	args := []string{"-base=none", "-version=v0.1.0"}
	if tag, err := exec.Command("git", "-C", root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").Output(); err == nil {
		last := strings.TrimSpace(string(tag))
		fmt.Println("since", last)
		args = []string{"-base=" + last}
		if _, err := proxy.Add(root, last, last); err != nil {
			return err
		}
	} else {
		fmt.Println("no release yet")
	}
	// gorelease wants a checkout without changes.
	head := filepath.Join(tmp, "head")
	if out, err := exec.Command("git", "clone", "--quiet", root, head).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, out)
	}
	env, err := proxy.Env()
	if err != nil {
		return err
	}
	cmd := exec.Command(gorelease, args...)
	cmd.Dir, cmd.Env = head, append(env, "PWD="+head)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
