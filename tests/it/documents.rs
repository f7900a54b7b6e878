//! PDFs that came with messages are read, whatever is in them, and do no harm.

use std::io::Write;

use serde_json::json;

use crate::media::{TOKEN, World};

/// A PDF of these objects, the first of which is its catalogue.
fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = vec![];
    for (n, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend([format!("{} 0 obj\n", n + 1).as_bytes(), object, b"\nendobj\n"].concat());
    }
    let (start, size) = (out.len(), objects.len() + 1);
    out.extend_from_slice(format!("xref\n0 {size}\n0000000000 65535 f \n").as_bytes());
    for offset in offsets {
        out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    out.extend_from_slice(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF").as_bytes());
    out
}

fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< /Length {} {dictionary} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

/// A PDF of one page with this content, and with a form `/F` of its own.
fn page(content: Vec<u8>, form: Vec<u8>) -> Vec<u8> {
    pdf(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources 6 0 R >>".to_vec(),
        content,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
        b"<< /Font << /F1 5 0 R >> /XObject << /F 7 0 R >> >>".to_vec(),
        form,
    ])
}

fn form(content: &[u8]) -> Vec<u8> {
    stream("/Type /XObject /Subtype /Form /BBox [0 0 300 300] /Resources 6 0 R", content)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// A stream that unpacks to so many megabytes of spaces, made without packing them all: a block that refers to nothing before it
/// can be repeated. Its checksum is wrong, which nobody sees who runs out of memory before.
fn vast(megabytes: usize) -> Vec<u8> {
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 20);
    packer.compress_vec(&vec![b' '; 1 << 20], &mut block, flate2::FlushCompress::Full).unwrap();
    let end = [0x03, 0x00, 0, 0, 0, 0];
    [&[0x78, 0xda][..], &block.repeat(megabytes), &end].concat()
}

const TEXT: &[u8] = b"BT /F1 12 Tf 20 100 Td (Low tide at noon) Tj ET";

/// What is read of PDFs that came with messages, one after the other.
async fn read(files: Vec<(&str, Vec<u8>)>) -> Vec<String> {
    let world = World::start(|_| {}).await;
    let turns = world.agent();
    let mut texts = vec![];
    for (n, (name, bytes)) in (1..).zip(files) {
        world.telegram.add_file(TOKEN, name, bytes);
        world.say(n, json!({ "document": { "file_id": name, "mime_type": "application/pdf" } })).await;
        world.work(&turns).await;
        texts.push(world.attachment().await.text.unwrap_or_default());
    }
    texts
}

#[tokio::test]
async fn a_pdf_is_read() {
    let plain = page(stream("", TEXT), form(b""));
    let small = page(stream("/Filter /FlateDecode", &packed(TEXT)), form(b""));
    let in_form = page(stream("", b"/F Do"), form(TEXT));
    let nothing = page(stream("", b""), form(b""));
    let texts = read(vec![("plain", plain), ("small", small), ("form", in_form), ("nothing", nothing)]).await;
    assert_eq!(texts[..3], ["Low tide at noon"; 3]);
    assert_eq!(texts[3], "[It could not be read: it is a PDF without text, perhaps scanned.]");
}

#[tokio::test]
async fn a_hostile_pdf_costs_only_itself() {
    let circle = page(stream("", b"/F Do"), form(b"/F Do"));
    // A page that looks for what it inherits among its ancestors finds itself.
    let ancestors = pdf(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /Parent 2 0 R >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_vec(),
        stream("", TEXT),
    ]);
    let twice = packed(&vast(2_000));
    assert!(twice.len() < 50_000, "{}", twice.len());
    let bomb = page(stream("/Filter [/FlateDecode /FlateDecode]", &twice), form(b""));
    let deep = page(stream("", &b"[".repeat(500_000)), form(b""));
    let cut = page(stream("", TEXT), form(b""))[..300].to_vec();
    let good = page(stream("", TEXT), form(b""));
    let files = [("circle", circle), ("ancestors", ancestors), ("bomb", bomb), ("deep", deep), ("cut", cut)];
    let texts = read(files.into_iter().chain([("good", good)]).collect()).await;
    let (good, hostile) = texts.split_last().unwrap();
    for text in hostile {
        assert!(text.starts_with("[It could not be read: it "), "{hostile:?}");
    }
    assert_eq!(good, "Low tide at noon", "whoever writes next is served");
}
