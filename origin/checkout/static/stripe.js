// Stripe's Payment Element: a card is filled in in Stripe's own frame.
globalThis.openFields = async ({ key, token, language, back, place }) => {
  const checkout = Stripe(key, { locale: language }).initCheckoutElementsSdk({ clientSecret: token });
  const element = checkout.createPaymentElement();
  const ready = new Promise((done, failed) => { element.on("ready", done); element.on("loaderror", failed); });
  element.mount(place);
  const loaded = await checkout.loadActions();
  if (loaded.type === "error") throw loaded.error;
  await ready;
  return async () => {
    const made = await loaded.actions.confirm();
    if (made.type === "error") throw made.error;
    location.assign(back);
  };
};
