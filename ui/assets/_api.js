// Calls of the JSON API from our own pages.
const base = '/.stepgate/api/v1/';

// call posts body and answers the parsed JSON. Refusals are errors that carry
// the problem document, so that a page can say what the server said.
export async function call(path, body, signal) {
	const answer = await fetch(base + path, {
		method: 'POST',
		headers: {'Content-Type': 'application/json', Accept: 'application/json'},
		body: JSON.stringify(body),
		credentials: 'same-origin',
		redirect: 'error',
		signal,
	});
	const text = await answer.text();
	let value = {};
	try {
		value = JSON.parse(text);
	} catch {
		// A proxy in between answered something else: handled as a refusal below.
	}
	if (!answer.ok) {
		const error = new Error(value.detail || value.title || 'The server refused. Please try again.');
		error.problem = value;
		throw error;
	}
	return value;
}

// flowOf is the id of the flow of a form, undefined when it has none.
export function flowOf(form) {
	return form?.elements.namedItem('flow')?.value || undefined;
}
