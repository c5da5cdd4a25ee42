// The browser's WebAuthn API with JSON in and out. Every call carries a signal:
// without one a call may wait for ever.
const patience = 5 * 60 * 1000;

export function supported() {
	return typeof PublicKeyCredential === 'function' && typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function';
}

// autofills reports whether the browser offers passkeys in form fields.
export async function autofills() {
	try {
		return (await PublicKeyCredential.isConditionalMediationAvailable?.()) === true;
	} catch {
		return false;
	}
}

const withTimeout = (signal) => (signal ? AbortSignal.any([signal, AbortSignal.timeout(patience)]) : AbortSignal.timeout(patience));

export async function get(options, {conditional = false, signal} = {}) {
	const credential = await navigator.credentials.get({
		publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
		...(conditional && {mediation: 'conditional'}),
		signal: conditional ? signal : withTimeout(signal),
	});
	return credential.toJSON();
}

export async function create(options, {signal} = {}) {
	const credential = await navigator.credentials.create({
		publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
		signal: withTimeout(signal),
	});
	return credential.toJSON();
}

// forget has the browser drop a key that the site does not know, where it can be told
// (WebAuthn, section 5.1.10.2).
export async function forget(rpId, credentialId) {
	try {
		await PublicKeyCredential.signalUnknownCredential?.({rpId, credentialId});
	} catch {
		// It is a courtesy to the next sign-in; nothing depends on it.
	}
}

// explain says what happened and what to do next.
export function explain(error, what) {
	switch (error.name) {
		case 'NotAllowedError':
			return what === 'create'
				? 'Nothing was added. It was cancelled, took too long, or this device or key cannot do what is needed here. Try again, or with another one.'
				: 'That did not work. It was cancelled, took too long, or this device has no passkey for this site. Try again or take another way.';
		case 'InvalidStateError':
			return 'This device or key is already in your list.';
		case 'AbortError':
		case 'TimeoutError':
			return 'It took too long. Please try again.';
		case 'NotSupportedError':
			return 'This device or key cannot do what is needed here. Try another one.';
		case 'SecurityError':
			return 'The browser refuses passkeys at this address. Tell the people who run this service.';
		case 'TypeError':
			return 'The server could not be reached. Check your connection and try again.';
	}
	return error.problem ? error.message : 'That did not work. Please try again.';
}
