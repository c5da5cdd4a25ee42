package policy

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
)

// The tables of docs/policy.md say what the code says.
func TestManualTables(t *testing.T) {
	const file = "../docs/policy.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{
		"top": keyTable(topKeys), "rules": keyTable(ruleKeys), "floors": keyTable(floorKeys), "match": keyTable(matchKeys),
		"requirements": keyTable(requirementKeys), "attributes": keyTable(factorKeys), "cases": keyTable(caseKeys),
		"case request": keyTable(caseRequestKeys), "proven": keyTable(provenKeys),
		"factors": factorTable(), "combinations": combinationTable(), "builtins": builtinTable(), "fields": fieldTable(),
	}
	block := regexp.MustCompile(`(?s)<!-- table: ([a-z ]+) -->\n(.*?)<!-- end -->`)
	now := block.ReplaceAllStringFunc(string(text), func(old string) string {
		m := block.FindStringSubmatch(old)
		table, ok := tables[m[1]]
		delete(tables, m[1])
		if !ok {
			t.Errorf("nobody knows the table %q", m[1])
		}
		if table != m[2] && !*update {
			t.Errorf("the table %q is out of date: go test ./policy -run Manual -update", m[1])
		}
		return "<!-- table: " + m[1] + " -->\n" + table + "<!-- end -->"
	})
	if len(tables) > 0 {
		t.Errorf("not in the manual: %v", slices.Sorted(maps.Keys(tables)))
	}
	if *update && now != string(text) {
		if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func keyTable(of keys) string {
	out := "| key | meaning |\n|---|---|\n"
	for _, k := range of {
		out += fmt.Sprintf("| `%s` | %s |\n", k.name, k.about)
	}
	return out
}

var categoryNames = map[Category]string{
	Knowledge: "knowledge", EmailOrAccount: "mailbox or account", Phone: "phone", Authenticator: "authenticator", Wallet: "wallet",
}

func factorTable() string {
	out := "| factor | what it is | kind |\n|---|---|---|\n"
	for _, name := range names {
		out += fmt.Sprintf("| `%s` | %s | %s |\n", name, factorAbout[name], categoryNames[CategoryOf(name)])
	}
	return out + "\n`oauth:NAME` is one identity provider, `crypto_wallet:ethereum` and `crypto_wallet:solana` are wallets of one chain.\n"
}

// combinationTable asks SecureCombination about each pair.
func combinationTable() string {
	out := "| |"
	rule := "|---|"
	for c := Knowledge; c < categories; c++ {
		out += " " + categoryNames[c] + " |"
		rule += "---|"
	}
	out += "\n" + rule + "\n"
	of := func(c Category) Factor {
		i := slices.IndexFunc(names, func(n string) bool { return CategoryOf(n) == c })
		return Factor{Name: names[i]}
	}
	for a := Knowledge; a < categories; a++ {
		out += "| **" + categoryNames[a] + "** |"
		for b := Knowledge; b < categories; b++ {
			if SecureCombination([]Factor{of(a), of(b)}) {
				out += " yes |"
			} else {
				out += " no |"
			}
		}
		out += "\n"
	}
	return out
}

func builtinTable() string {
	out := "| name | meaning |\n|---|---|\n"
	for _, b := range builtinAbout {
		out += fmt.Sprintf("| `%s` | %s |\n", b.name, b.about)
	}
	return out
}

func fieldTable() string {
	out := "| object | field | type |\n|---|---|---|\n"
	add := func(object string, of fields) {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			out += fmt.Sprintf("| %s | `%s` | %s |\n", object, name, strings.ReplaceAll(cel.FormatCELType(of[name].Type), "|", "\\|"))
			object = ""
		}
	}
	add("`request`", requestFields)
	add("`user`", userFields)
	add("`session`", sessionFields)
	add("an entry of `session.authentication_factors`", factorFields)
	parts := make(map[string]fields)
	for t, of := range partFields {
		parts[t.TypeName()] = of
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		add(name, parts[name])
	}
	return out + "| `now` | | timestamp |\n| `claims` | as `user.custom_claims` | map(string, dyn) |\n"
}

// What the tables and schemas say of names is said of all of them.
func TestEveryNameIsDescribed(t *testing.T) {
	if got := slices.Sorted(maps.Keys(factorAbout)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("described are %v", got)
	}
	var described []string
	for _, b := range builtinAbout {
		described = append(described, b.name)
	}
	slices.Sort(described)
	if known := slices.Sorted(maps.Keys(builtins)); !slices.Equal(described, known) {
		t.Errorf("described are %v", described)
	}
}
