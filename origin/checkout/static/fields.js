// A provider's own fields on our page: opened by its adapter, sent by our button where they have none.
const form = document.querySelector("#fields");
const trouble = form.querySelector("[role=alert]");
const button = form.querySelector("button");
const tell = (text) => { trouble.textContent = text; trouble.hidden = !text; };
const open = async () => {
  const pay = await openFields({ ...form.dataset, place: form.querySelector("#card") });
  if (!pay) return;
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    tell("");
    await pay().catch((error) => { tell(error.message || form.dataset.missing); button.disabled = false; });
  });
};
open().catch(() => tell(form.dataset.missing));
