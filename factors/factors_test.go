package factors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// Products leaves no product out and names none twice.
func TestProducts(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "factors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Product
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Product" {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, Product(name))
		}
		return true
	})
	listed := Products()
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) == 0 || !slices.Equal(declared, listed) {
		t.Errorf("declared %v, listed %v", declared, listed)
	}
}

// A numeric code is six ASCII digits, and nothing that looks like them or can be read as them.
func TestSixDigits(t *testing.T) {
	for code, want := range map[string]bool{
		"000000": true, "123456": true, "999999": true,
		"": false, "1": false, "12345": false, "1234567": false, "12345678901234567890": false,
		"12345a": false, " 12345": false, "12345 ": false, "123 456": false, "+12345": false, "-12345": false, "12345\n": false,
		"0x1234": false, "1e1000": false, "12345\x00": false, "１２３４５６": false, "１２": false, "٣٣٣": false, "12345/": false, "12345:": false,
	} {
		if SixDigits(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
}
