package userimport

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v4"
)

// autheliaUser is an entry of Authelia's users file (its documentation, reference/guides/passwords).
// What Stepgate has no use for, such as addresses of houses, is passed over.
type autheliaUser struct {
	Disabled    bool     `yaml:"disabled"`
	DisplayName string   `yaml:"displayname"`
	Password    string   `yaml:"password"`
	Email       string   `yaml:"email"`
	Groups      []string `yaml:"groups"`
}

func authelia(name string, data []byte) ([]Person, error) {
	var file struct {
		Users yaml.Node `yaml:"users"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, inputError(name, 0, "%v", err)
	}
	var users map[string]autheliaUser
	if err := file.Users.Decode(&users); err != nil {
		return nil, inputError(name, 0, "%v", err)
	}
	lines := make(map[string]int, len(users))
	for i := 0; i+1 < len(file.Users.Content); i += 2 {
		lines[file.Users.Content[i].Value] = file.Users.Content[i].Line
	}
	out := make([]Person, 0, len(users))
	for login, u := range users {
		out = append(out, Person{
			Line: lines[login], Login: login, Email: u.Email, Name: u.DisplayName, Groups: u.Groups, Hash: u.Password, Disabled: u.Disabled,
		})
	}
	slices.SortFunc(out, func(a, b Person) int { return cmp.Or(a.Line-b.Line, cmp.Compare(a.Login, b.Login)) })
	return out, nil
}
