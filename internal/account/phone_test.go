package account

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

func TestFoldPhone(t *testing.T) {
	type result struct{ e164, country string }
	london := result{"+442079460958", "GB"}
	newYork := result{"+12125550100", "US"}
	for text, want := range map[string]result{
		"+442079460958":                   london,
		" +44 20 7946 0958\n":             london,
		"+44 (0)20 7946 0958":             london,
		"+44 (0) 20-7946-0958":            london,
		"(+44) 20 7946 0958":              london,
		"+4402079460958":                  london,
		"+44.20.7946.0958":                london,
		"+44/20/79460958":                 london,
		"+44-20-7946-0958":                london,
		"+44‑20–7946—0958":                london,
		"+44\u221220\u22127946\u22120958": london,
		"+44\u00a020\u202f7946\u20090958": london,
		"\u202a+44 20 7946 0958\u202c":    london,
		"\u200e+44\u200f2079460958\u2069": london,
		"\ufeff+442079460958":             london,
		"0044 20 7946 0958":               london,
		"00 44 (0)20 7946 0958":           london,
		"(00)44 20 7946 0958":             london,
		"0 0 4 4 2 0 7 9 4 6 0 9 5 8":     london,
		"+٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨":                london,
		"٠٠٤٤٢٠٧٩٤٦٠٩٥٨":                  london,
		"+۴۴ ۲۰ ۷۹۴۶ ۰۹۵۸":                london,
		"＋４４（０）２０－７９４６－０９５８":              london,
		"+४४ २० ७९४६ ०९५८":                london,
		"+𝟒𝟒 𝟐𝟎 𝟕𝟗𝟒𝟔 𝟎𝟗𝟓𝟖":                london,
		"+44٢٠７９４６0958":                   london,
		"+1 (212) 555-0100":               newYork,
		"+1-212-555-0100":                 newYork,
		"+12125550100":                    newYork,
		"0012125550100":                   newYork,
		"001 (212) 555 0100":              newYork,
		"+1 1 212 555 0100":               newYork,
		"+1 416 555 0100":                 {"+14165550100", "CA"},
		"+1 242 359 1234":                 {"+12423591234", "BS"},
		"+44 7400 123456":                 {"+447400123456", "GB"},
		"+44 7781 123456":                 {"+447781123456", "GG"},
		"+49 (0)171/1234567":              {"+491711234567", "DE"},
		"+39 06 12345678":                 {"+390612345678", "IT"},
		"+33 (0)6 12 34 56 78":            {"+33612345678", "FR"},
		"+7 701 123 45 67":                {"+77011234567", "KZ"},
		"+7 916 123-45-67":                {"+79161234567", "RU"},
		"+54 9 11 2345-6789":              {"+5491123456789", "AR"},
		"+54 11 15 2345-6789":             {"+5491123456789", "AR"},
		"+225 07 12 34 56 78":             {"+2250712345678", "CI"},
		"+683 4002":                       {"+6834002", "NU"},
		"+870 773 111 632":                {"+870773111632", ""},
		"+882 16 1234567":                 {"+882161234567", ""},
	} {
		e164, country, err := FoldPhone(text)
		if got := (result{e164, country}); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "+", "00", "++", "0",
		"020 7946 0958",                     // no country
		"442079460958",                      // nor here
		"011 44 20 7946 0958",               // a prefix of North America
		"++442079460958",                    //
		"+0044 20 7946 0958",                //
		"44+2079460958",                     //
		"+44 20+7946 0958",                  //
		"+44 20 7946 0958 ext. 5",           //
		"+44 20 7946 0958 x5",               //
		"+44 20 7946 0958#5",                //
		"+44 20 7946 0958,5",                //
		"+44 20 7946 0958;ext=5",            //
		"tel:+442079460958",                 //
		"+1;phone-context=+44;tel:5",        //
		"2079460958;phone-context=+44",      //
		"+442079460958;isub=1",              //
		"+1 800 FLOWERS",                    //
		"+1 212 555 010O",                   // a letter
		"+44 20 7946 0958\x00",              //
		"+44 20 7946 095\xff8",              //
		"+44 20 7946 095²",                  // no decimal digit
		"+44 20 7946 095",                   // too short
		"+44 20 7946 09588",                 // too long
		"+4920100000000000",                 // longer than E.164
		"+44 (0)0 20 7946 0958",             // one 0 too many, and then not one spelling
		"+1 1 1 212 555 0100",               //
		"+1 555 555 0100",                   // no such area
		"+44 7700 900123",                   // set aside for films
		"+999 123456789",                    // no such country
		"+44 999",                           // emergency
		"+1 911",                            //
		"+44 80 0111 1111",                  // toll-free
		"+1 (800) 555-1234",                 //
		"+800 1234 5678",                    //
		"+44 901 234 5678",                  // premium
		"+1 900 555 1234",                   //
		"+979 1 2345 6789",                  //
		"+49 180 1234567",                   // shared cost
		"+44 7640 123456",                   // pager
		"+44 70 1234 5678",                  // personal
		"+44 300 123 4567",                  // company
		strings.Repeat("(", maxPhone) + ")", //
		"+44" + strings.Repeat(" ", maxPhone) + "2079460958",
	} {
		if e164, country, err := FoldPhone(text); !errors.Is(err, ErrPhone) || e164 != "" || country != "" {
			t.Errorf("%q: %q, %q, %v", text, e164, country, err)
		}
	}
}

// FoldPhone takes the value of a digit from its place in a table of Unicode.
func TestDigitsOfAllScripts(t *testing.T) {
	n := 0
	for r := range unicode.MaxRune {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		n++
		if r < 0x80 && digit(r) != byte(r-'0') {
			t.Errorf("%q is %d", r, digit(r))
		}
	}
	for _, table := range unicode.Nd.R16 {
		if table.Stride != 1 || (table.Hi-table.Lo+1)%10 != 0 {
			t.Errorf("%+v", table)
		}
	}
	for _, table := range unicode.Nd.R32 {
		if table.Stride != 1 || (table.Hi-table.Lo+1)%10 != 0 {
			t.Errorf("%+v", table)
		}
	}
	if n < 600 || digit('٧') != 7 || digit('９') != 9 || digit('𝟘') != 0 {
		t.Error(n)
	}
}

// The example of each kind in each country is accepted as itself, or refused for its kind.
func TestFoldPhoneOfEveryCountry(t *testing.T) {
	accepted := 0
	for region := range phonenumbers.GetSupportedRegions() {
		for kind, may := range map[phonenumbers.PhoneNumberType]bool{
			phonenumbers.MOBILE: true, phonenumbers.FIXED_LINE: true, phonenumbers.VOIP: true, phonenumbers.PREMIUM_RATE: false,
			phonenumbers.SHARED_COST: false, phonenumbers.TOLL_FREE: false, phonenumbers.PAGER: false, phonenumbers.VOICEMAIL: false,
			phonenumbers.PERSONAL_NUMBER: false, phonenumbers.UAN: false,
		} {
			number := phonenumbers.GetExampleNumberForType(region, kind)
			if number == nil || kind != phonenumbers.GetNumberType(number) {
				continue // none, or one that is of two kinds
			}
			text := phonenumbers.Format(number, phonenumbers.INTERNATIONAL)
			e164, country, err := FoldPhone(text)
			if (err == nil) != may {
				t.Errorf("%s, kind %d, %s: %v", region, kind, text, err)
			}
			if err != nil {
				continue
			}
			accepted++
			if e164 != phonenumbers.Format(number, phonenumbers.E164) || country != phonenumbers.GetRegionCodeForNumber(number) {
				t.Errorf("%s, %s: %s, %s", region, text, e164, country)
			}
		}
	}
	if accepted < 400 {
		t.Errorf("%d accepted", accepted)
	}
}

func TestMaskPhone(t *testing.T) {
	for text, want := range map[string]string{
		"+442079460958": "+44 … 58", "+12125550100": "+1 … 00", "+6834002": "+683 … 02", "+390612345678": "+39 … 78",
		"": "…", "442079460958": "…", "+": "…", "+44 20 7946 0958 ext. 5": "…", "secret": "…",
	} {
		if got := MaskPhone(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestPhonePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"+442079460958": "+44207946", "+12125550100": "+1212555", "+6834002": "+683", "+390612345678": "+39061234", "+5491123456789": "+549112345",
		"": "", "x": "x", "+": "+",
	} {
		if got := PhonePrefix(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzFoldPhone(f *testing.F) {
	for _, text := range []string{"+442079460958", "0044 (0)20 7946 0958", "+54 11 15 2345-6789", "+٤٤٢٠٧٩٤٦٠٩٥٨", "+55 015 11 96123-4567", "+1;phone-context=+44", "+390612345678", "+80012345678"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e164, country, err := FoldPhone(text)
		if err != nil {
			if !errors.Is(err, ErrPhone) || e164 != "" || country != "" {
				t.Fatalf("%q: %q, %q, %v", text, e164, country, err)
			}
			_, _ = MaskPhone(text), PhonePrefix(text)
			return
		}
		again, where, err := FoldPhone(e164)
		if err != nil || again != e164 || where != country {
			t.Fatalf("%q: %q, then %q %q, %v", text, e164, again, where, err)
		}
		if other, _, err := FoldPhone("00" + e164[1:]); err != nil || other != e164 {
			t.Fatalf("%q: %q, with 00 %q, %v", text, e164, other, err)
		}
		if len(e164) < 5 || len(e164) > 16 || strings.Trim(e164[1:], "0123456789") != "" || e164[0] != '+' {
			t.Fatalf("%q is not E.164", e164)
		}
		if prefix := PhonePrefix(e164); !strings.HasPrefix(e164, prefix) || len(prefix) < 2 || len(prefix) > len(e164)-2 {
			t.Fatalf("%q: %q", e164, prefix)
		}
		if mask := MaskPhone(e164); mask == "…" {
			t.Fatalf("%q has no mask", e164)
		}
	})
}
