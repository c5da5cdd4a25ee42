// Loads the page again when a message has arrived.
const mark = document.querySelector('[data-outbox]');
const seen = mark.dataset.outbox;

async function look() {
	try {
		const answer = await fetch('/.stepgate/outbox.json', {cache: 'no-store', credentials: 'same-origin'});
		if (!answer.ok) return;
		const [newest] = await answer.json();
		if (newest && Date.parse(newest.sent_at) > (seen ? Date.parse(seen) : 0)) location.reload();
	} catch {
		// The demonstration may be stopped and started again: keep looking.
	}
}
setInterval(() => {
	if (document.visibilityState === 'visible') look();
}, 2000);
document.addEventListener('visibilitychange', () => {
	if (document.visibilityState === 'visible') look();
});
