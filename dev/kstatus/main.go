// Command kstatus reads resources as a JSON list and prints what kstatus makes of each, a word a
// line: Current, InProgress, Failed or Terminating.
package main

import (
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func judge(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var list unstructured.UnstructuredList
	if err := list.UnmarshalJSON(data); err != nil {
		return err
	}
	for i := range list.Items {
		result, err := status.Compute(&list.Items[i])
		if err != nil {
			return err
		}
		fmt.Fprintln(out, result.Status)
	}
	return nil
}
