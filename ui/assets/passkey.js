// Passkeys and security keys on our pages: sign-in (with autofill), challenge,
// registration. The page says so when the browser cannot.
import {call, flowOf} from './_api.js';
import {supported, autofills, get, create, forget, explain} from './_webauthn.js';

for (const note of document.querySelectorAll('[data-passkey-unsupported]')) note.hidden = supported();
for (const box of document.querySelectorAll('[data-passkey]')) setUp(box);

// What the server says when it has not kept a new key and never will. Every other
// refusal may concern a key that it has.
const notKept = new Set(['authenticator_not_accepted', 'too_many', 'webauthn_incorrect', 'invalid_credential']);

function setUp(box) {
	if (!supported()) return;
	const button = box.querySelector('[data-passkey-button]');
	const problem = box.querySelector('[data-passkey-problem]');
	const done = document.querySelector('form[data-passkey-done]');
	const flow = flowOf(done ?? (box.matches('form') ? box : box.closest('form')));
	box.hidden = false;
	button.hidden = false;

	let autofill;
	const say = (text) => {
		problem.textContent = text;
		problem.hidden = !text;
	};
	async function authenticate(conditional) {
		const stop = new AbortController();
		if (conditional) autofill = stop;
		// A key that keeps no account needs to be told whose it is.
		const email = conditional ? '' : document.querySelector('input[name=email]')?.value.trim();
		const {publicKey} = await call('webauthn/authenticate/start', {flow, email: email || undefined}, stop.signal);
		const credential = await get(publicKey, {conditional, signal: stop.signal});
		await call('webauthn/authenticate', {flow, credential}, stop.signal);
		done.requestSubmit();
	}
	async function register() {
		const start = await call('webauthn/register/start', {flow, authenticator_type: box.dataset.type});
		const credential = await create(start.publicKey);
		try {
			await call('webauthn/register', {flow, credential, name: box.elements.namedItem('name').value.trim() || undefined});
		} catch (error) {
			if (notKept.has(error.problem?.error_type)) await forget(start.publicKey.rp.id, credential.id);
			throw error;
		}
		box.requestSubmit();
	}
	button.addEventListener('click', async () => {
		say('');
		autofill?.abort();
		button.disabled = true;
		button.setAttribute('aria-busy', 'true');
		try {
			await (box.dataset.passkey === 'create' ? register() : authenticate(false));
		} catch (error) {
			say(explain(error, box.dataset.passkey));
		} finally {
			button.disabled = false;
			button.removeAttribute('aria-busy');
		}
	});
	if (box.dataset.passkey === 'create') {
		// Enter in the name field does what the button does.
		box.querySelector('input[name=name]').addEventListener('keydown', (event) => {
			if (event.key !== 'Enter') return;
			event.preventDefault();
			button.click();
		});
	}
	if (box.dataset.mode === 'sign-in') {
		autofills().then((can) => can && authenticate(true)).catch(() => {
			// Autofill is an offer; when it fails the button and the form remain.
		});
	}
	if ('auto' in box.dataset) button.focus();
}
