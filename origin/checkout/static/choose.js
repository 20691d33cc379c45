// Scripts run here: a provider's own fields can be shown.
document.querySelector("[name=fields]").value = "1";
