// Shows the API's description with Swagger UI, from files of our own.
const target = document.getElementById("swagger");

window.SwaggerUIBundle({
  domNode: target,
  url: target.dataset.url,
  deepLinking: true,
  validatorUrl: null,
});
