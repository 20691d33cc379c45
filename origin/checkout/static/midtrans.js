// Midtrans' Snap: everything is filled in in its own frame, which has its own button.
globalThis.openFields = async ({ token, language, back, place }) => {
  const leave = () => location.assign(back);
  snap.embed(token, { embedId: place.id, language, onSuccess: leave, onPending: leave, onError: leave });
};
