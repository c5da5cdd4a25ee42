package ui

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
)

// svgParts are the elements and attributes of a QR code; all else is refused.
var svgParts = map[string]string{
	"svg":  " viewBox width height xmlns shape-rendering version role aria-label stroke fill class ",
	"g":    " fill stroke shape-rendering transform ",
	"path": " d fill stroke stroke-width shape-rendering transform ",
	"rect": " x y width height fill shape-rendering ",
}

var svgValue = regexp.MustCompile(`^[A-Za-z0-9 .,#%()+-]*$`)

// qrCode reads the SVG text of a QR code and writes it again from the known
// elements and attributes alone, with a size and a name of our own. Text that
// is no plain drawing is an error: it never reaches the page.
func qrCode(svg, label string) (template.HTML, error) {
	d := xml.NewDecoder(io.LimitReader(strings.NewReader(svg), 1<<20))
	var b strings.Builder
	depth := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("ui: QR code: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if err := qrElement(&b, t, depth, label); err != nil {
				return "", err
			}
			depth++
		case xml.EndElement:
			depth--
			b.WriteString("</" + t.Name.Local + ">")
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return "", errors.New("ui: QR code: text in the drawing")
			}
		case xml.ProcInst:
		default:
			return "", fmt.Errorf("ui: QR code: %T in the drawing", tok)
		}
	}
	if b.Len() == 0 {
		return "", errors.New("ui: QR code: no drawing")
	}
	//nolint:gosec // G203: built above from known names and checked values only
	return template.HTML(b.String()), nil
}

func qrElement(b *strings.Builder, t xml.StartElement, depth int, label string) error {
	name := t.Name.Local
	attrs, ok := svgParts[name]
	if !ok || (name == "svg") != (depth == 0) || (depth == 0 && b.Len() > 0) {
		return fmt.Errorf("ui: QR code: element %q", name)
	}
	b.WriteString("<" + name)
	for _, a := range t.Attr {
		n := a.Name.Local
		if a.Name.Space == "" && n == "xmlns" {
			continue
		}
		if a.Name.Space != "" || !strings.Contains(attrs, " "+n+" ") || !svgValue.MatchString(a.Value) && n != "aria-label" {
			return fmt.Errorf("ui: QR code: attribute %q", n)
		}
		if name == "svg" && (n == "role" || n == "aria-label" || n == "class") {
			continue
		}
		b.WriteString(" " + n + `="` + a.Value + `"`)
	}
	if name == "svg" {
		b.WriteString(` class="qr-code" role="img" aria-label="` + template.HTMLEscapeString(label) + `"`)
	}
	b.WriteString(">")
	return nil
}
