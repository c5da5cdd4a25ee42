// Goes on to the identity provider; the link is there for everybody else.
const {href} = document.querySelector('[data-leave]');
// Coming back by the history must not send people away again.
if (performance.getEntriesByType('navigation')[0]?.type !== 'back_forward') location.assign(href);
