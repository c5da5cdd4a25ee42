// Tells the browser which passkeys this site still knows, so that removed ones are
// no longer offered. Browsers that cannot be told keep what they have.
const box = document.querySelector('[data-signal]');
const {rp: rpId, user: userId, credentials} = box.dataset;

try {
	await PublicKeyCredential?.signalAllAcceptedCredentials?.({
		rpId,
		userId,
		allAcceptedCredentialIds: credentials ? credentials.split(' ') : [],
	});
} catch {
	// It is a courtesy to the next sign-in; nothing depends on it.
}
