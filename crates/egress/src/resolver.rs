//! What names stand for, checked at the moment of connecting.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Guard;

/// Looks names up, and refuses an answer if any address in it is private: the client would be free to choose that one.
/// The client connects to what was checked; it looks nothing up itself.
pub(crate) struct Resolver<L> {
    guard: Guard,
    look_up: L,
}

impl<L> Resolver<L> {
    /// `look_up` says what a name stands for. Nobody outside this crate chooses it.
    pub(crate) fn new(guard: Guard, look_up: L) -> Resolver<L> {
        Resolver { guard, look_up }
    }
}

impl<L, F> Resolve for Resolver<L>
where
    L: Fn(String) -> F + Send + Sync,
    F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, found) = (self.guard.clone(), (self.look_up)(name.as_str().to_owned()));
        Box::pin(async move {
            let addresses = found.await?;
            guard.check_addresses(name.as_str(), &addresses)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// What the system says. Port 0 stands for the URL's own port.
pub(crate) async fn of_system(name: String) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use reqwest::redirect::Policy;
    use reqwest::{Client, Url};

    use super::*;
    use crate::{Refused, describe};

    /// A name server of the test's own: the answers to come for each name, and all names that it was asked for.
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<(Answers, Vec<String>)>>);

    type Found = std::future::Ready<io::Result<Vec<SocketAddr>>>;
    type Answers = Vec<(&'static str, VecDeque<Vec<&'static str>>)>;

    impl Names {
        /// What a name stands for at its first look-up, at its second, and so on.
        fn with(self, name: &'static str, answers: &[&[&'static str]]) -> Names {
            self.0.lock().unwrap().0.push((name, answers.iter().map(|answer| answer.to_vec()).collect()));
            self
        }

        fn look_up(&self, name: String) -> io::Result<Vec<SocketAddr>> {
            let mut names = self.0.lock().unwrap();
            let answers = names.0.iter_mut().find(|(known, _)| *known == name);
            let answer = answers.and_then(|(_, answers)| answers.pop_front());
            names.1.push(name);
            let addresses = answer.ok_or(io::ErrorKind::NotFound)?;
            Ok(addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect())
        }

        fn asked(&self) -> Vec<String> {
            self.0.lock().unwrap().1.clone()
        }

        fn resolver(&self, guard: &Guard) -> Resolver<impl Fn(String) -> Found + use<>> {
            let names = self.clone();
            Resolver::new(guard.clone(), move |name| std::future::ready(names.look_up(name)))
        }

        fn client(&self, guard: &Guard, redirects: Policy) -> Client {
            let _ = rustls::crypto::ring::default_provider().install_default();
            guard.client_with(redirects, self.resolver(guard)).unwrap()
        }
    }

    /// Answers one connection after the other with these bytes, and counts them.
    fn serve(listener: TcpListener, answer: String) -> Arc<Mutex<usize>> {
        let count = Arc::<Mutex<usize>>::default();
        let visits = count.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                *visits.lock().unwrap() += 1;
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        count
    }

    fn said(text: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
    }

    #[tokio::test]
    async fn names_for_what_is_private_are_refused_before_any_connection() {
        for answer in [
            &["169.254.169.254"][..],
            &["::ffff:169.254.169.254"],
            &["64:ff9b::a9fe:a9fe"],
            &["fd00:ec2::254"],
            &["127.0.0.1"],
            &["93.184.215.14", "169.254.169.254"],
            &["10.0.0.1", "93.184.215.14"],
            &["2606:4700::1111", "::1"],
        ] {
            let names = Names::default().with("metadata.example", &[answer]);
            let client = names.client(&Guard::default(), Policy::none());
            let error = client.get("http://metadata.example/latest/meta-data/").send().await.unwrap_err();
            assert!(describe(&error).contains("`metadata.example` is not a public address"), "{answer:?}: {error:?}");
            assert_eq!(names.asked(), ["metadata.example"]);
        }
    }

    #[tokio::test]
    async fn a_redirect_to_a_name_for_the_metadata_service_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let moved = "HTTP/1.1 302 Found\r\nlocation: http://metadata.example/latest/meta-data/\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n";
        let visits = serve(listener, moved.to_owned());
        let guard = Guard::new(&[format!("page.example:{port}")]).unwrap();
        let names = Names::default()
            .with("page.example", &[&["127.0.0.1"]])
            .with("metadata.example", &[&["::ffff:169.254.169.254"]]);
        let client = names.client(&guard, guard.redirects());
        let error = client.get(format!("http://page.example:{port}/")).send().await.unwrap_err();
        assert!(describe(&error).contains("`metadata.example` is not a public address"), "{error:?}");
        assert_eq!(
            (names.asked(), *visits.lock().unwrap()),
            (vec!["page.example".into(), "metadata.example".into()], 1)
        );
    }

    #[tokio::test]
    async fn the_connection_is_made_to_the_address_that_was_checked() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        // Where the name leads whoever asks once more.
        let second = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let (first, second) = (serve(first, said("checked")), serve(second, said("elsewhere")));
        let guard = Guard::new(&[format!("rebind.example:{port}")]).unwrap();
        let names = Names::default().with("rebind.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
        let client = names.client(&guard, Policy::none());
        let url = Url::parse(&format!("http://rebind.example:{port}/")).unwrap();
        guard.check_url(&url).unwrap();
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.remote_addr(), Some(SocketAddr::new("127.0.0.1".parse().unwrap(), port)));
        assert_eq!(answer.text().await.unwrap(), "checked");
        assert_eq!((names.asked().len(), *first.lock().unwrap(), *second.lock().unwrap()), (1, 1, 0));
    }

    #[tokio::test]
    async fn a_name_that_is_private_the_second_time_is_refused_then() {
        let public: &[&str] = &["93.184.215.14", "2606:4700::1111"];
        let names = Names::default().with("rebind.example", &[public, &["169.254.169.254"]]);
        let resolver = names.resolver(&Guard::default());
        let resolve = || resolver.resolve("rebind.example".parse().unwrap());
        let first: Vec<String> = resolve().await.unwrap().map(|address| address.ip().to_string()).collect();
        assert_eq!(first, public, "what was checked, all of it and nothing else");
        let refused = resolve().await.err().unwrap();
        assert_eq!(refused.downcast_ref(), Some(&Refused::Private("rebind.example".into())));
    }

    #[tokio::test]
    async fn the_systems_names_for_private_addresses_are_refused() {
        let resolve = |guard| Resolver::new(guard, of_system).resolve("localhost".parse().unwrap());
        let refused = resolve(Guard::default()).await.err().unwrap();
        assert_eq!(refused.downcast_ref(), Some(&Refused::Private("localhost".into())));
        assert!(resolve(Guard::new(&["localhost:80".to_owned()]).unwrap()).await.is_ok());
    }
}
