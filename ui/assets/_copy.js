// Copying, saving, printing.
export function setUpCopying(root) {
	for (const button of root.querySelectorAll('button[data-copy]')) {
		if (!navigator.clipboard) continue;
		button.hidden = false;
		const words = button.firstChild.textContent;
		button.addEventListener('click', async () => {
			button.firstChild.textContent = (await copy(button.dataset.copy)) ? 'Copied' : 'Not copied';
			setTimeout(() => { button.firstChild.textContent = words; }, 2000);
		});
	}
	for (const list of root.querySelectorAll('[data-codes]')) codes(root, list);
}

async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return false;
	}
}

function codes(root, list) {
	const text = () => list.dataset.head + '\n\n' + [...list.querySelectorAll('code')].map((c) => c.textContent).join('\n') + '\n';
	const said = root.querySelector('[data-codes-said]');
	const on = (name, act) => root.querySelector(`[${name}]`)?.addEventListener('click', act);
	for (const tools of root.querySelectorAll('[data-needs-script]')) tools.hidden = false;
	on('data-codes-copy', async () => {
		said.textContent = (await copy(text())) ? 'The codes are copied.' : 'The browser did not allow copying. Select the codes and copy them.';
	});
	on('data-codes-save', () => {
		const url = URL.createObjectURL(new Blob([text()], {type: 'text/plain'}));
		const link = document.createElement('a');
		link.href = url;
		link.download = list.dataset.codes.replace(/[^\w.-]+/g, '-');
		link.click();
		setTimeout(() => URL.revokeObjectURL(url), 10000);
		said.textContent = 'The codes are saved as a file.';
	});
	on('data-codes-print', () => print());
}
