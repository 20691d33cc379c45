// Shared pages know nobody: the visitor's own numbers are filled in here.
const count = document.cookie.match(/(?:^|; )warung_count=(\d+)/);
if (count && count[1] !== "0") document.querySelector("[data-basket-count]").textContent = count[1];

const place = document.querySelector("[data-stock]");
if (place) {
  fetch(place.dataset.stock, { credentials: "omit" }).then((answer) => answer.ok ? answer.json() : null).then((product) => {
    if (!product) return;
    const said = place.dataset[product.availability];
    const left = product.availability === "low" ? " · " + place.dataset.left.replace("{count}", product.stock) : "";
    const stock = place.querySelector(".stock");
    stock.className = "stock " + product.availability;
    stock.textContent = said + left;
  }).catch(() => {});
}
