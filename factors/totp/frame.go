package totp

import (
	"image"
	"image/color"
)

// framed is an image with a white margin, which readers of QR codes need.
type framed struct {
	image.Image
	margin int
}

// Bounds implements image.Image.
func (f framed) Bounds() image.Rectangle {
	b := f.Image.Bounds()
	return image.Rect(0, 0, b.Dx()+2*f.margin, b.Dy()+2*f.margin)
}

// ColorModel implements image.Image.
func (f framed) ColorModel() color.Model { return color.GrayModel }

// At implements image.Image.
func (f framed) At(x, y int) color.Color {
	p := image.Pt(x-f.margin, y-f.margin).Add(f.Image.Bounds().Min)
	if !p.In(f.Image.Bounds()) {
		return color.White
	}
	return f.Image.At(p.X, p.Y)
}
