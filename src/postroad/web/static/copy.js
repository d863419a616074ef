// Buttons that copy a text beside them; without this script the text is marked by one click, and there are no buttons.
(() => {
  "use strict";
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    const text = button && document.getElementById(button.dataset.copy);
    if (!text) return;
    const status = button.parentElement.querySelector("[role=status]");
    await navigator.clipboard.writeText(text.textContent);
    if (!status) return;
    status.textContent = button.dataset.copied;
    setTimeout(() => { status.textContent = ""; }, 4000);
  });
})();
