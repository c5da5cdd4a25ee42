package userimport

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const autheliaFile = `
users:
  john:
    disabled: false
    displayname: 'John Doe'
    password: '$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA'
    email: 'john@example.com'
    groups: [admins, dev]
    locale: cs
  bob: &bob
    disabled: true
    email: bob@example.com
  carol: {<<: *bob, email: carol@example.com}
`

func TestRead(t *testing.T) {
	for name, tt := range map[string]struct {
		format Format
		text   string
		want   []Person
	}{
		"authelia": {FormatAuthelia, autheliaFile, []Person{
			{Line: 3, Login: "john", Email: "john@example.com", Name: "John Doe", Groups: []string{"admins", "dev"}, Hash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"},
			{Line: 10, Login: "bob", Email: "bob@example.com", Disabled: true},
			{Line: 13, Login: "carol", Email: "carol@example.com", Disabled: true},
		}},
		"htpasswd": {FormatHtpasswd, "# people\n\nann@example.com:$2y$10$abc\r\nbob:\n", []Person{
			{Line: 3, Login: "ann@example.com", Hash: "$2y$10$abc"}, {Line: 4, Login: "bob"},
		}},
		"csv": {FormatCSV, "\ufeffEmail, name ,groups,verified,disabled,password_hash\nann@example.com,\"Ann,\nof two lines\",a; b;,true,,\nbob@example.com,,,0,1,$2y$10$abc\n", []Person{
			{Line: 2, Email: "ann@example.com", Name: "Ann,\nof two lines", Groups: []string{"a", "b"}, Verified: true},
			{Line: 4, Email: "bob@example.com", Disabled: true, Hash: "$2y$10$abc"},
		}},
	} {
		got, err := Read(tt.format, "f", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWhatIsNoFileOfUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		format     Format
		text, want string
	}{
		"unknown form":     {"ldif", "dn: x", `the form "ldif" is unknown`},
		"empty":            {FormatHtpasswd, "# nobody\n", "f: it names nobody"},
		"no colon":         {FormatHtpasswd, "a:b\njust text\n", "f:2: a line is NAME:HASH"},
		"no name":          {FormatHtpasswd, ":$2y$", "f:1: a line is NAME:HASH"},
		"no yaml":          {FormatAuthelia, "users: [", "f: "},
		"no map":           {FormatAuthelia, "users: [a]", "f: "},
		"an entry no map":  {FormatAuthelia, "users:\n  a: {}\n  b: [x]\n", "line 3: "},
		"somebody twice":   {FormatAuthelia, "users:\n  a: {}\n  a: {}\n", "already defined"},
		"no users":         {FormatAuthelia, "people: {}", "names nobody"},
		"no heading":       {FormatCSV, "ann@example.com,Ann\n", `f:1: there is no column "ann@example.com"; the columns are email, name`},
		"no address":       {FormatCSV, "name\nAnn\n", "f:1: the first line names the columns, and one is email"},
		"a column twice":   {FormatCSV, "email,email\na,b\n", `f:1: the column "email" stands twice`},
		"an empty address": {FormatCSV, "email,name\n,Ann\n", "f:2: the e-mail address is missing"},
		"too many fields":  {FormatCSV, "email\nann@example.com\na,b\n", "f:3: wrong number of fields"},
		"not a truth":      {FormatCSV, "email,verified\na@example.com,maybe\n", `f:2: verified: "maybe" is neither true nor false`},
		"nothing":          {FormatCSV, "", "f: it is empty"},
		"too large":        {FormatCSV, strings.Repeat("x", MaxFile+1), "f: it is larger than 32 MiB"},
	} {
		people, err := Read(tt.format, "f", []byte(tt.text))
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), tt.want) || people != nil {
			t.Errorf("%s: %v %v", name, people, err)
		}
	}
}

func TestAddress(t *testing.T) {
	people := []Person{{Line: 1, Login: "ann"}, {Line: 2, Login: "bob@other.test"}, {Line: 3, Login: "c", Email: "carol@example.com"}}
	if err := Address("f", people, "example.com"); err != nil {
		t.Fatal(err)
	}
	if people[0].Email != "ann@example.com" || people[1].Email != "bob@other.test" || people[2].Email != "carol@example.com" {
		t.Error(people)
	}
	for want, people := range map[string][]Person{
		`f:1: "ann" has no e-mail address`:              {{Line: 1, Login: "ann"}},
		"f:9: Ann@Example.com stands on line 4 already": {{Line: 4, Email: "ann@example.com"}, {Line: 9, Email: "Ann@Example.com"}},
	} {
		if err := Address("f", people, ""); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is not %q", err, want)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]Format{
		"/etc/authelia/users_database.yml": FormatAuthelia, "U.YAML": FormatAuthelia, "a/.htpasswd": FormatHtpasswd, "htpasswd.old": FormatHtpasswd, "list.csv": FormatCSV, "users": "", "users.json": "",
	} {
		if got := FormatOf(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
