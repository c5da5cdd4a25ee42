package userimport

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// htpasswd reads lines of a name, a colon and a hash. A line may go without the hash.
func htpasswd(name string, data []byte) ([]Person, error) {
	var out []Person
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		login, hash, ok := strings.Cut(text, ":")
		if !ok || login == "" {
			return nil, inputError(name, number, "a line is NAME:HASH")
		}
		out = append(out, Person{Line: number, Login: login, Hash: hash})
	}
	return out, nil
}

// columns are those that a CSV file may have.
var columns = []string{"email", "name", "groups", "password_hash", "verified", "disabled"}

func table(name string, data []byte) ([]Person, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))) // as spreadsheets write it
	r.TrimLeadingSpace = true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, inputError(name, 0, "it is empty")
	}
	if err != nil {
		return nil, tableError(name, err)
	}
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(head[i]))
		if !slices.Contains(columns, head[i]) {
			return nil, inputError(name, 1, "there is no column %q; the columns are %s", head[i], strings.Join(columns, ", "))
		}
		if slices.Contains(head[:i], head[i]) {
			return nil, inputError(name, 1, "the column %q stands twice", head[i])
		}
	}
	if !slices.Contains(head, "email") {
		return nil, inputError(name, 1, "the first line names the columns, and one is email")
	}
	var out []Person
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, tableError(name, err)
		}
		line, _ := r.FieldPos(0)
		p := Person{Line: line}
		for i, value := range row {
			if err := p.set(head[i], strings.TrimSpace(value)); err != nil {
				return nil, inputError(name, line, "%s: %q is neither true nor false", head[i], value)
			}
		}
		if p.Email == "" {
			return nil, inputError(name, line, "the e-mail address is missing")
		}
		out = append(out, p)
	}
}

func (p *Person) set(column, value string) (err error) {
	switch column {
	case "email":
		p.Email = value
	case "name":
		p.Name = value
	case "groups":
		for g := range strings.SplitSeq(value, ";") {
			if g = strings.TrimSpace(g); g != "" {
				p.Groups = append(p.Groups, g)
			}
		}
	case "password_hash":
		p.Hash = value
	case "verified":
		p.Verified, err = truth(value)
	case "disabled":
		p.Disabled, err = truth(value)
	}
	return err
}

func truth(value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	return strconv.ParseBool(value)
}

func tableError(name string, err error) error {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return inputError(name, bad.Line, "%v", bad.Err)
	}
	return inputError(name, 0, "%v", err)
}
