// A payment is waited for: once its state is another, the page says so.
const place = document.querySelector("[data-session]");
const look = () => fetch(place.dataset.session, { credentials: "omit", cache: "no-store" })
  .then((answer) => answer.ok ? answer.json() : null)
  .then((session) => { if (session && session.state !== place.dataset.state) location.reload(); })
  .catch(() => {})
  .finally(() => setTimeout(look, 3000));
if (place) setTimeout(look, 3000);
