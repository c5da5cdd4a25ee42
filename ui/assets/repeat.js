// Sends what was entered on its way; the button is there for everybody else.
const form = document.querySelector('[data-repeat]');
// Coming back by the history must not send anything again.
if (performance.getEntriesByType('navigation')[0]?.type !== 'back_forward') form.requestSubmit();
