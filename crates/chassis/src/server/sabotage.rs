//! The crash points of this process, for a drill: which there are and what they are ordered to do. On the admin port of the binaries
//! called `<service>-sabotaged`, and nowhere else.
//!
//! `GET /sabotage/points`: every point that was passed or is armed. `POST /sabotage/points`, the body an order such as
//! `order.place.before-commit=kill`: arms it. `DELETE /sabotage/points`: takes back what is not carried out.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

/// A point as a drill reads it.
#[derive(Serialize)]
struct Point {
    name: String,
    passings: u64,
    order: Option<String>,
    carried_out: u64,
}

impl From<sabotage::Point> for Point {
    fn from(point: sabotage::Point) -> Self {
        let order = point.order.map(|order| order.to_string());
        Self { name: point.name, passings: point.passings, order, carried_out: point.carried_out }
    }
}

pub(super) fn router() -> Router {
    Router::new().route("/sabotage/points", get(list).post(arm).delete(disarm))
}

async fn list() -> Json<Vec<Point>> {
    Json(sabotage::points().into_iter().map(Point::from).collect())
}

async fn arm(body: String) -> Response {
    match body.trim().parse() {
        Ok(order) => {
            tracing::warn!(order = body.trim(), "sabotage");
            sabotage::arm(order);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn disarm() -> StatusCode {
    sabotage::disarm();
    StatusCode::NO_CONTENT
}
