package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// This is the only file that knows the YAML library.

const (
	maxFile  = 8 << 20
	maxDepth = 40
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	mapNode
)

// scalarStyle is how a text stands in the file.
type scalarStyle uint8

const (
	plain scalarStyle = iota
	singleQuoted
	doubleQuoted
	block
)

// node is one value of the file with its place.
type node struct {
	kind  nodeKind
	style scalarStyle
	line  int
	col   int
	// text and tag of a scalar; tag is "!!str", "!!int", "!!bool", "!!null" and so on.
	text string
	tag  string
	// items of a list; of a map, keys and values in turn.
	items []*node
}

var yamlPlace = regexp.MustCompile(`line (\d+)(?:, column (\d+))?`)

// parseYAML reads exactly one document.
func parseYAML(data []byte) (*node, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{Line: 1, Column: 1, Message: fmt.Sprintf("the file is larger than %d MiB", maxFile>>20)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Problem{Line: 1, Column: 1, Message: "the file is empty"}
		}
		return nil, yamlProblem(err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Problem{Line: max(second.Line, 1), Column: max(second.Column, 1), Message: "the file has a second document; a policy is one document"}
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(err)
	}
	if len(doc.Content) != 1 {
		return nil, &Problem{Line: 1, Column: 1, Message: "the file is empty"}
	}
	return convert(doc.Content[0], 0)
}

func yamlProblem(err error) *Problem {
	p := &Problem{Line: 1, Column: 1, Message: "not valid YAML: " + err.Error()}
	if m := yamlPlace.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = n
		}
		if n, err := strconv.Atoi(m[2]); err == nil {
			p.Column = n
		}
	}
	return p
}

func convert(y *yaml.Node, depth int) (*node, *Problem) {
	n := &node{line: y.Line, col: y.Column, text: y.Value, tag: y.ShortTag()}
	switch {
	case depth > maxDepth:
		return nil, &Problem{Line: y.Line, Column: y.Column, Message: "nested too deeply"}
	case y.Kind == yaml.AliasNode || y.Anchor != "":
		return nil, &Problem{Line: y.Line, Column: y.Column, Message: "anchors and aliases are not allowed; name the requirement and refer to it"}
	case y.Kind == yaml.SequenceNode:
		n.kind = listNode
	case y.Kind == yaml.MappingNode:
		n.kind = mapNode
	case y.Style&yaml.SingleQuotedStyle != 0:
		n.style = singleQuoted
	case y.Style&yaml.DoubleQuotedStyle != 0:
		n.style = doubleQuoted
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		n.style = block
	}
	for _, c := range y.Content {
		item, problem := convert(c, depth+1)
		if problem != nil {
			return nil, problem
		}
		n.items = append(n.items, item)
	}
	return n, nil
}
