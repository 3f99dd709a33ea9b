// Command traffic is being put together.
package main

func main() {}
