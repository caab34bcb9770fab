// Shows the API's description with Swagger UI, from files of our own.
const target = document.getElementById("swagger");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** What the page itself says already is left out, and a link within a button is none: opening sets the address. */
const forThisPage = ({ React }) => ({
  components: {
    InfoContainer: () => null,
    DeepLink: ({ text }) => React.createElement("span", null, text),
  },
});

/** Names and roles that Swagger UI leaves out, for readers of the screen and for the keyboard. */
function complete() {
  for (const control of target.querySelectorAll("select:not([aria-label]), textarea:not([aria-label])")) {
    const name = control.closest("[data-param-name]")?.dataset.paramName;
    control.setAttribute("aria-label", name ?? (control.matches("textarea") ? "Request body" : "Media type"));
  }
  for (const input of target.querySelectorAll("input:not([aria-label], [id])")) {
    input.setAttribute("aria-label", input.closest("[data-param-name]")?.dataset.paramName ?? "Value");
  }
  for (const button of target.querySelectorAll(".copy-to-clipboard > button:not([aria-label])")) {
    button.setAttribute("aria-label", "Copy to the clipboard");
  }
  for (const example of target.querySelectorAll("pre:not([tabindex])")) example.tabIndex = 0;
  for (const table of target.querySelectorAll("table[role=region]")) table.setAttribute("role", "table");
}

function followScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

new MutationObserver(complete).observe(target, { childList: true, subtree: true });
dark.addEventListener("change", followScheme);
followScheme();
window.SwaggerUIBundle({
  domNode: target,
  url: target.dataset.url,
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  plugins: [forThisPage],
});
