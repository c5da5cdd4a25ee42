package policyimport

import (
	"go.yaml.in/yaml/v4"
)

// autheliaConfig is the part of Authelia's configuration that says who may see what.
type autheliaConfig struct {
	defaultPolicy string
	networks      map[string][]string
	rules         []autheliaRule
}

// autheliaRule is one entry of access_control.rules.
type autheliaRule struct {
	line                                               int
	domains, domainRegex, methods, networks, resources []string
	subjects                                           [][]string
	query                                              [][]autheliaQuery
	policy                                             string
	// unknown are keys that the import does not know: conditions, as far as it can tell.
	unknown []string
}

type autheliaQuery struct{ operator, key, value string }

func readAuthelia(name string, data []byte) (*autheliaConfig, error) {
	r := &reader{file: name}
	root, err := r.load(data)
	if err != nil {
		return nil, err
	}
	section, err := r.get(root, "access_control")
	if err != nil {
		return nil, err
	}
	if section == nil {
		return nil, inputError("%s has no section access_control", name)
	}
	out := &autheliaConfig{networks: make(map[string][]string)}
	if err := r.networks(root, section, out); err != nil {
		return nil, err
	}
	policy, err := r.get(section, "default_policy")
	if err != nil {
		return nil, err
	}
	if out.defaultPolicy, err = r.text(policy); err != nil {
		return nil, err
	}
	rules, err := r.get(section, "rules")
	if err != nil {
		return nil, err
	}
	items, err := r.items(rules)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		rule, err := r.autheliaRule(item)
		if err != nil {
			return nil, err
		}
		out.rules = append(out.rules, rule)
	}
	return out, nil
}

// networks reads those that have a name, of the section and of the definitions beside it.
func (r *reader) networks(root, section *yaml.Node, out *autheliaConfig) error {
	list, err := r.get(section, "networks")
	if err != nil {
		return err
	}
	items, err := r.items(list)
	if err != nil {
		return err
	}
	for _, item := range items {
		n, err := r.get(item, "name")
		if err != nil {
			return err
		}
		name, err := r.text(n)
		if err != nil {
			return err
		}
		if out.networks[name], err = r.texts(item, "networks"); err != nil {
			return err
		}
	}
	definitions, err := r.get(root, "definitions")
	if err != nil || definitions == nil {
		return err
	}
	named, err := r.get(definitions, "network")
	if err != nil || named == nil {
		return err
	}
	for i := 0; i+1 < len(named.Content) && named.Kind == yaml.MappingNode; i += 2 {
		name := named.Content[i].Value
		if out.networks[name], err = r.texts(named, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) autheliaRule(n *yaml.Node) (autheliaRule, error) {
	if n == nil || n.Kind != yaml.MappingNode {
		return autheliaRule{}, inputError("%s: a rule is no map", r.file)
	}
	out := autheliaRule{line: n.Line}
	var err error
	for key, into := range map[string]*[]string{
		"domain": &out.domains, "domain_regex": &out.domainRegex, "methods": &out.methods, "networks": &out.networks, "resources": &out.resources,
	} {
		if *into, err = r.texts(n, key); err != nil {
			return out, err
		}
	}
	for i := 0; i < len(n.Content); i += 2 {
		switch key := n.Content[i].Value; key {
		case "domain", "domain_regex", "methods", "networks", "resources":
		case "policy":
			out.policy, err = r.text(n.Content[i+1])
		case "subject":
			out.subjects, err = r.subjects(n.Content[i+1])
		case "query":
			out.query, err = r.query(n.Content[i+1])
		default:
			out.unknown = append(out.unknown, key)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// subjects are alternatives, each of which names all that the visitor must be.
func (r *reader) subjects(n *yaml.Node) ([][]string, error) {
	alternatives, err := r.items(n)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, a := range alternatives {
		items, err := r.items(a)
		if err != nil {
			return nil, err
		}
		var all []string
		for _, i := range items {
			s, err := r.text(i)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		if len(all) > 0 {
			out = append(out, all)
		}
	}
	return out, nil
}

// query are alternatives, each of which names all that must hold of the query.
func (r *reader) query(n *yaml.Node) ([][]autheliaQuery, error) {
	alternatives, err := r.items(n)
	if err != nil {
		return nil, err
	}
	var out [][]autheliaQuery
	for _, a := range alternatives {
		items, err := r.items(a)
		if err != nil {
			return nil, err
		}
		all := []autheliaQuery{}
		for _, i := range items {
			q, err := r.queryRule(i)
			if err != nil {
				return nil, err
			}
			all = append(all, q)
		}
		out = append(out, all)
	}
	return out, nil
}

// queryRule reads one rule. Without an operator, one with a value asks for it, and one without
// for the key.
func (r *reader) queryRule(n *yaml.Node) (autheliaQuery, error) {
	var q autheliaQuery
	value, err := r.get(n, "value")
	if err != nil {
		return q, err
	}
	q.operator = "present"
	if value != nil {
		q.operator = "equal"
	}
	for key, into := range map[string]*string{"operator": &q.operator, "key": &q.key, "value": &q.value} {
		v, err := r.get(n, key)
		if err != nil {
			return q, err
		}
		if v != nil {
			if *into, err = r.text(v); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}
