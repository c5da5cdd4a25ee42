package account

import (
	"slices"

	"github.com/stepgate/stepgate/policy"
)

// NeededBy names the demands of a policy that u could meet with what is enrolled and could no
// longer meet once the credentials in without are gone. What is only reported asks for nothing.
func NeededBy(u *User, demands []policy.Demand, without ...string) []string {
	before := u.Enrolled()
	after := slices.DeleteFunc(slices.Clone(before), func(f policy.Factor) bool { return slices.Contains(without, f.ID) })
	s := &policy.Subject{ID: u.ID, Email: u.PrimaryEmail().Address, Groups: u.AllGroups()}
	var out []string
	for i := range demands {
		d := &demands[i]
		if d.ReportOnly || !d.Concerns(s) || slices.Contains(out, d.Name) {
			continue
		}
		if len(d.Required.Lacks(before)) == 0 && len(d.Required.Lacks(after)) > 0 {
			out = append(out, d.Name)
		}
	}
	return out
}
