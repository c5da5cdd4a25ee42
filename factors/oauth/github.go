package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/oauth2"
)

// githubIdentity asks GitHub who a token belongs to. GitHub speaks OAuth 2.0 only: there is no
// id_token.
func (p *Provider) githubIdentity(ctx context.Context, token *oauth2.Token) (Identity, error) {
	var user struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := p.github(ctx, token, "/user", &user); err != nil {
		return Identity{}, err
	}
	if user.ID <= 0 {
		return Identity{}, refused("the user has no id")
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := p.github(ctx, token, "/user/emails", &emails); err != nil {
		return Identity{}, err
	}
	i := Identity{Issuer: p.config.Issuer, Subject: strconv.FormatInt(user.ID, 10), Name: clip(user.Name)}
	for _, e := range emails {
		if e.Primary {
			i.Email = clip(e.Email)
			i.EmailVerified = e.Verified && i.Email != ""
		}
	}
	return i, nil
}

func (p *Provider) github(ctx context.Context, token *oauth2.Token, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.githubAPI+path, nil)
	if err != nil {
		return unavailable(path, err)
	}
	request.Header.Set("Authorization", "Bearer "+token.AccessToken)
	request.Header.Set("Accept", "application/vnd.github+json")
	response, err := p.client.Do(request)
	if err != nil {
		return unavailable(path, err)
	}
	err = json.NewDecoder(response.Body).Decode(into)
	err = errors.Join(err, response.Body.Close())
	switch {
	case fails(response.StatusCode):
		return unavailable(path, fmt.Errorf("it answered %d", response.StatusCode))
	case response.StatusCode != http.StatusOK:
		return refused("%s answered %d", path, response.StatusCode)
	case err != nil:
		return unavailable(path, err)
	}
	return nil
}
