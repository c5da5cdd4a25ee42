// Package userimport reads the user files of other systems: Authelia's users file, htpasswd,
// and CSV. It judges neither addresses nor hashes; it says where in the file each person stands.
package userimport

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrInput means that a file is not of the form that it should be of.
var ErrInput = errors.New("not a file of users that can be imported")

// inputError says what is wrong; line 0 stands for the file as a whole.
func inputError(name string, line int, format string, args ...any) error {
	where := name
	if line > 0 {
		where = fmt.Sprintf("%s:%d", name, line)
	}
	return fmt.Errorf("%w: %s: %s", ErrInput, where, fmt.Sprintf(format, args...))
}

const (
	// MaxFile is the largest file that is read, in bytes.
	MaxFile = 32 << 20
	// maxPeople bounds the people of one file.
	maxPeople = 200_000
)

// Person is one entry of a file.
type Person struct {
	// Line is where the entry begins; the first line is 1.
	Line int
	// Login is the name that the other system knows the person by; empty when it has none.
	Login string
	Email string
	// Name is the person's own name.
	Name   string
	Groups []string
	// Hash is the hash of the password; empty when there is none.
	Hash string
	// Verified tells that the file calls the address proven.
	Verified bool
	// Disabled tells that the other system let the person in no more.
	Disabled bool
}

// Format is a form of file.
type Format string

// The forms of files.
const (
	// FormatAuthelia is Authelia's users file, in YAML.
	FormatAuthelia Format = "authelia"
	// FormatHtpasswd has a line NAME:HASH for each person.
	FormatHtpasswd Format = "htpasswd"
	// FormatCSV has a first line that names its columns: email, and any of name, groups
	// (separated by semicolons), password_hash, verified, disabled.
	FormatCSV Format = "csv"
)

// FormatOf guesses the form of a file by its name; empty when that tells nothing.
func FormatOf(name string) Format {
	base := strings.ToLower(filepath.Base(name))
	switch filepath.Ext(base) {
	case ".yml", ".yaml":
		return FormatAuthelia
	case ".csv":
		return FormatCSV
	}
	if strings.Contains(base, "htpasswd") {
		return FormatHtpasswd
	}
	return ""
}

// Read reads a file. name stands in messages. The error is ErrInput.
func Read(format Format, name string, data []byte) ([]Person, error) {
	if len(data) > MaxFile {
		return nil, inputError(name, 0, "it is larger than %d MiB", MaxFile>>20)
	}
	var people []Person
	var err error
	switch format {
	case FormatAuthelia:
		people, err = authelia(name, data)
	case FormatHtpasswd:
		people, err = htpasswd(name, data)
	case FormatCSV:
		people, err = table(name, data)
	default:
		return nil, inputError(name, 0, "the form %q is unknown; it is one of authelia, htpasswd, csv", format)
	}
	if err != nil {
		return nil, err
	}
	if len(people) == 0 {
		return nil, inputError(name, 0, "it names nobody")
	}
	if len(people) > maxPeople {
		return nil, inputError(name, 0, "it names more than %d people", maxPeople)
	}
	return people, nil
}

// Address gives each person without an address one in a domain, made of their login name. The
// error is ErrInput for somebody who has neither, or when two share an address.
func Address(name string, people []Person, domain string) error {
	seen := make(map[string]int, len(people))
	for i := range people {
		p := &people[i]
		if p.Email == "" && strings.Contains(p.Login, "@") {
			p.Email = p.Login
		}
		if p.Email == "" && domain == "" {
			return inputError(name, p.Line, "%q has no e-mail address; with --domain, one is made of the name", p.Login)
		}
		if p.Email == "" {
			p.Email = p.Login + "@" + domain
		}
		folded := strings.ToLower(strings.TrimSpace(p.Email))
		if first := seen[folded]; first > 0 {
			return inputError(name, p.Line, "%s stands on line %d already", p.Email, first)
		}
		seen[folded] = p.Line
	}
	return nil
}
