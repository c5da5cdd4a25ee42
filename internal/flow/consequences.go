package flow

import (
	"context"
	"time"
)

// consequencesLife bounds what follows a change.
const consequencesLife = 15 * time.Second

// consequences is the context of what must follow a change that is stored: sessions that end,
// devices that are forgotten, owners who are told. Whoever closes the connection in between takes
// none of it back. It is for what comes after the last costly check, never for the check itself:
// calls that nobody waits for any more must give their place up there.
func consequences(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), consequencesLife)
}
