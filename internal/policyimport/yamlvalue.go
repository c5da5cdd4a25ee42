package policyimport

import (
	"bytes"

	"go.yaml.in/yaml/v4"
)

// reader goes through a YAML file of which only parts are wanted. Aliases are followed, and all
// steps together bounded.
type reader struct {
	file  string
	steps int
}

// load reads the first document.
func (r *reader) load(data []byte) (*yaml.Node, error) {
	if len(data) > MaxFile {
		return nil, inputError("%s is larger than %d MiB", r.file, MaxFile>>20)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		return nil, inputError("%s: %v", r.file, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, inputError("%s is no map", r.file)
	}
	return doc.Content[0], nil
}

// at is what a node stands for.
func (r *reader) at(n *yaml.Node) (*yaml.Node, error) {
	for range 10 {
		if r.steps++; r.steps > maxEntries {
			return nil, inputError("%s has more entries than are read", r.file)
		}
		if n == nil || n.Kind != yaml.AliasNode {
			return n, nil
		}
		n = n.Alias
	}
	return nil, inputError("%s has aliases of aliases", r.file)
}

// get is a value of a map; nil when it is not there.
func (r *reader) get(n *yaml.Node, key string) (*yaml.Node, error) {
	n, err := r.at(n)
	if err != nil || n == nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, inputError("%s:%d: expected a map", r.file, n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return r.at(n.Content[i+1])
		}
	}
	return nil, nil
}

// items are those of a list; a value that is no list is its only item.
func (r *reader) items(n *yaml.Node) ([]*yaml.Node, error) {
	n, err := r.at(n)
	if err != nil || n == nil || n.Tag == "!!null" {
		return nil, err
	}
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}, nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		if out[i], err = r.at(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// text is a scalar.
func (r *reader) text(n *yaml.Node) (string, error) {
	n, err := r.at(n)
	if err != nil || n == nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode {
		return "", inputError("%s:%d: expected a text", r.file, n.Line)
	}
	return n.Value, nil
}

// texts are the texts of a list, or the one that stands in its place.
func (r *reader) texts(n *yaml.Node, key string) ([]string, error) {
	v, err := r.get(n, key)
	if err != nil {
		return nil, err
	}
	items, err := r.items(v)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, i := range items {
		s, err := r.text(i)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
